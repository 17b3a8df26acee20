"""Where things are kept. Declarations only: each cloud's drivers are opened on first use."""

from portable import Bucket

photos = Bucket("photos")
thumbnails = Bucket("thumbnails")
reports = Bucket("reports")
