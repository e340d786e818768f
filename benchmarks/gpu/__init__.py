"""On a CUDA GPU: kernels against its own matrix product, stacked seeds against one by one."""
