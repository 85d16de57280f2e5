"""Models behind interfaces that people know: scikit-learn's estimators, and a loaded model that learns from a frame."""
