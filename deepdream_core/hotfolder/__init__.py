"""The drop folder: pictures put into it come out dreamed, each exactly once, and none is ever lost."""
