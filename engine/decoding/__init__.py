"""The decoder's runtime without torch: prompts and a stored embedding in, masks of the image out.

numpy and onnxruntime only, so that the web process, the replay, benchmarks and other clients share
it. Its only twin is the page's (annotator_ui/frontend/src/decoder); tests/golden holds both to the
rules of sam/.
"""
