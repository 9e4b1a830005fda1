import pytest
import serving_models
from serving_process import client_of, serving


def _served(make, *flags):
    @pytest.fixture(scope="module")
    def fixture(tmp_path_factory):
        path = make(tmp_path_factory.mktemp("model") / "model.onnx")
        with serving(path.parent, *flags) as server, client_of(server.ready()) as client:
            yield client
            assert server.process.poll() is None, server.lines

    return fixture


doubles = _served(serving_models.doubles, "--max-body-bytes", 100_000, "--revision", "r1")
two_by_two = _served(serving_models.two_by_two)
classes = _served(serving_models.classes)
total = _served(serving_models.total)
reciprocal = _served(serving_models.reciprocal)
fails_above = _served(serving_models.fails_above)
strings = _served(lambda path: serving_models.identity(path, serving_models.TensorProto.STRING))
any_rank = _served(lambda path: serving_models.identity(path, shape=None))
