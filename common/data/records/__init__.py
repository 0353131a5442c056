"""Records: one photo with its people, in TFRecord files and their manifest."""
