"""The programs of five existing systems, written from their documents alone, against a real bridge.

`<number>/` holds the programs of a document and `rows.toml`, the list of everything that it promises.
"""
