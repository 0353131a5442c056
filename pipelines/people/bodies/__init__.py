"""Bodies: people in three dimensions, of all shapes, in all poses and clothes, as pictures to put into pictures."""
