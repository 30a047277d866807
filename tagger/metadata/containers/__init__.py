"""Where image files keep metadata: JPEG, PNG, WebP, EXIF, IPTC."""
