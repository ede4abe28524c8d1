"""Reading captions and pictures from tables with files beside them, from parquet files, and from the hub."""
