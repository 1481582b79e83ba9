from .onnx_model import OnnxModel as OnnxModel
