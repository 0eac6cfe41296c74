"""The promptable segmentation model: network, prediction, checkpoints and browser export.

A torch library; it knows nothing of the platform that uses it. Its rooms:

- network: config, layers, model (all of it) <- image_encoder | pyramid_encoder, prompt_encoder,
  mask_decoder <- transformer <- attention; click_maps and prompt_maps are the starter's
- values: prompts (in and out), features (what encoders hand on), coordinates (the only scaling)
- use: predictor (one photo, many prompts), selection (which of four masks), automatic (everything
  in a photo) <- crops, nms, upscale; object_detector (boxes for prefilling)
- where it runs: devices
- files: checkpoints <- tensor_files, official <- fetch; embeddings; generate_files <- photos,
  overlay
- elsewhere: onnx_export <- onnx_weights (the decoder), onnx_encoder (the encoder)
"""

import os

# Threads that wait for each other by spinning fight with whatever else runs: with both cores of a
# small machine taken, encoding took 1.75 s instead of 0.19 s. Read when torch is loaded, so here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What Apple's graphics cards cannot do yet (kthvalue, for one) runs on the processor.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
