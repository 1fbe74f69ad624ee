# Makes species.onnx and pixels.onnx, the models that the tests serve; needs python3-onnx.
# species: columns length, width (FP32 [N, 1]; NaN is a blank, taken for 1) and colour (BYTES
#   [N, 1]) -> label (BYTES [N]), probabilities (FP32 [N, 2]). The score of "tall" is
#   length - width, plus 1 for red.
# pixels: image (UINT8 [N, 2, 2]) -> sum (FP32 [N, 1]), the sum of its pixels / 255.
import sys
import numpy as np
from onnx import TensorProto as T, helper as h, numpy_helper, save

OPSETS = [h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 2)]


def constant(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


def finish(graph, path):
    save(h.make_model(graph, opset_imports=OPSETS, ir_version=8, producer_name="tests"), path)


def species(path):
    nodes = [
        h.make_node("Concat", ["length", "width"], ["raw"], axis=1),
        h.make_node("IsNaN", ["raw"], ["blank"]),
        h.make_node("Where", ["blank", "one", "raw"], ["numbers"]),
        h.make_node("LabelEncoder", ["colour"], ["red"], domain="ai.onnx.ml",
                    keys_strings=["red"], values_floats=[1.0], default_float=0.0),
        h.make_node("Concat", ["numbers", "red"], ["features"], axis=1),
        h.make_node("Gemm", ["features", "weights", "bias"], ["scores"]),
        h.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        h.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
        h.make_node("LabelEncoder", ["index"], ["label"], domain="ai.onnx.ml",
                    keys_int64s=[0, 1], values_strings=["short", "tall"]),
    ]
    finish(h.make_graph(
        nodes, "species",
        [h.make_tensor_value_info("length", T.FLOAT, ["N", 1]),
         h.make_tensor_value_info("width", T.FLOAT, ["N", 1]),
         h.make_tensor_value_info("colour", T.STRING, ["N", 1])],
        [h.make_tensor_value_info("label", T.STRING, ["N"]),
         h.make_tensor_value_info("probabilities", T.FLOAT, ["N", 2])],
        [constant("one", 1, np.float32),
         constant("weights", [[0, 1], [0, -1], [0, 1]], np.float32),
         constant("bias", [0, 0], np.float32)]), path)


def pixels(path):
    nodes = [
        h.make_node("Cast", ["image"], ["floats"], to=T.FLOAT),
        h.make_node("Flatten", ["floats"], ["flat"], axis=1),
        h.make_node("MatMul", ["flat", "weights"], ["sum"]),
    ]
    finish(h.make_graph(
        nodes, "pixels",
        [h.make_tensor_value_info("image", T.UINT8, ["N", 2, 2])],
        [h.make_tensor_value_info("sum", T.FLOAT, ["N", 1])],
        [constant("weights", [[1 / 255]] * 4, np.float32)]), path)


folder = sys.argv[1] if len(sys.argv) > 1 else "."
species(folder + "/species.onnx")
pixels(folder + "/pixels.onnx")
