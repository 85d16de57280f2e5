"""Programs that run the Triton kernels of other packages in Triton's interpreter, on CPU tensors."""
