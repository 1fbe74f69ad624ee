# The peer of serve_vs_tornado.sh: the same network in numpy behind Tornado, one process a CPU.
import json, os, sys
import numpy as np
import tornado.httpserver, tornado.ioloop, tornado.netutil, tornado.process, tornado.web

os.environ.setdefault("OMP_NUM_THREADS", "1")
weights = dict(np.load(sys.argv[1]))  # read once: an NpzFile reads at every look


class Infer(tornado.web.RequestHandler):
    def post(self):
        request = json.loads(self.request.body)
        tensor = request["inputs"][0]
        x = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
        hidden = np.maximum(x @ weights["w1"] + weights["b1"], 0)
        y = hidden @ weights["w2"] + weights["b2"]
        self.write({"model_name": "net", "outputs": [
            {"name": "y", "datatype": "FP32", "shape": list(y.shape), "data": y.ravel().tolist()}]})


sockets = tornado.netutil.bind_sockets(int(sys.argv[2]), "127.0.0.1")
tornado.process.fork_processes(0)
server = tornado.httpserver.HTTPServer(tornado.web.Application([("/v2/models/net/infer", Infer)]))
server.add_sockets(sockets)
tornado.ioloop.IOLoop.current().start()
