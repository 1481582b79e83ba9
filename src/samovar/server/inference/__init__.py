"""Models answer visitors: worker processes that run `samovar.pipelines`, for the widget and the inference API.

`contract` says what a request and an answer look like for each task; `snapshots` lays a commit's files out in a folder;
`worker` is the program that one process runs; `pool` starts, feeds, limits and unloads them. The Hub's own process
never imports torch.
"""
