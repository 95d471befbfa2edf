"""Data sets: annotation readers, the manifest, images, the embedded scenes."""
