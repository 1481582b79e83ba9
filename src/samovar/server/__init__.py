"""The Hub: one process that stores models, data sets and spaces, and that clients of the field take for the real one.

Routes (`api/`) ask services (`services/`), which say what may happen; below them lie git (`repos/`), large files
(`objects/`), the database (`db/`) and the search index (`search/`). Nothing here imports torch.
"""
