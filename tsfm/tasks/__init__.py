"""A task poses a problem by hiding values, and says what an answer is worth. One small file each."""
