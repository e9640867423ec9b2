"""The local core: a development stand-in for a Greengrass nucleus, classic or lite."""
