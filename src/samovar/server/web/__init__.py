"""The Hub's pages: made on the server, usable without scripts, nothing loaded from elsewhere.

A page module reads a request, asks the same services as the API, and hands plain values to a template. `site` puts the
frame around it: who is looking, in which language, under which policy.
"""
