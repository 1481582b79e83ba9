"""The client side of a hub: names become files. The only floor that touches the network."""
