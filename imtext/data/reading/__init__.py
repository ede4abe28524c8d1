"""Read captions and pictures from tables and picture files, from parquet files, and from the hub."""
