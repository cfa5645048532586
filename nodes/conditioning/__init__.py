"""Where, when and how strongly a prompt steers the sampling."""
