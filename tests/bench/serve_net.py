# Makes net.onnx (784 -> 128 -> 10, ReLU), its weights for the peer, and a request of one row.
import json, sys
import numpy as np
from onnx import TensorProto as T, helper as h, numpy_helper, save

random = np.random.default_rng(1)
weights = {"w1": random.normal(0, 0.05, (784, 128)), "b1": np.zeros(128),
           "w2": random.normal(0, 0.1, (128, 10)), "b2": np.zeros(10)}
weights = {name: value.astype(np.float32) for name, value in weights.items()}
np.savez("net.npz", **weights)
nodes = [h.make_node("Gemm", ["x", "w1", "b1"], ["a"]), h.make_node("Relu", ["a"], ["b"]),
         h.make_node("Gemm", ["b", "w2", "b2"], ["y"])]
graph = h.make_graph(nodes, "net", [h.make_tensor_value_info("x", T.FLOAT, ["N", 784])],
                     [h.make_tensor_value_info("y", T.FLOAT, ["N", 10])],
                     [numpy_helper.from_array(value, name) for name, value in weights.items()])
save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), "net.onnx")
row = [round(float(v), 4) for v in random.uniform(0, 1, 784)]
body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 784], "data": row}]}
with open("post.lua", "w") as script:
    script.write("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n"
                 "wrk.body = '" + json.dumps(body) + "'\n"
                 "done = function(summary, latency)\n"
                 "  local e = summary.errors\n"
                 "  io.write(string.format('RESULT %.0f %.0f %.0f %d\\n',\n"
                 "    summary.requests / (summary.duration / 1e6), latency:percentile(50),\n"
                 "    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))\n"
                 "end\n")
