"""ONNX files of decoder and encoder."""
