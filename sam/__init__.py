"""The promptable segmentation model: network, prediction, checkpoints and browser export.

A torch library; it knows nothing of the platform that uses it. Each package below may import the
ones under it:

- automatic (masks of a whole image), detection (boxes for prefilling), export (ONNX)
- prompting: checks prompts, predicts, chooses and resizes masks
- checkpoints: model and embedding files
- modeling: the network
- prompts, coordinates, crops, nms, tensor_files, devices: shared values and small tools
"""

import os

# Threads that wait for each other by spinning fight with whatever else runs: with both cores of a
# small machine taken, encoding took 1.75 s instead of 0.19 s. Read when torch is loaded, so here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What Apple's graphics cards cannot do yet (kthvalue, for one) runs on the processor.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
