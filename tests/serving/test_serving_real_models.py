"""What people have: classifiers and regressors of scikit-learn, exported by skl2onnx with its defaults."""

from pathlib import Path

import numpy as np
import pytest
import skl2onnx
from serving_process import client_of, serving
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="module")
def iris():
    rows, labels = load_iris(return_X_y=True)
    return rows.astype(np.float32), labels


def exported(path, model, rows):
    path.write_bytes(skl2onnx.to_onnx(model, rows[:1]).SerializeToString())
    return path


@pytest.mark.parametrize("named", [False, True], ids=["whole numbers as classes", "names as classes"])
def test_a_classifier_answers_labels_and_scores_by_class(tmp_path, iris, named):
    rows, labels = iris
    names = np.array(["setosa", "versicolor", "virginica"])
    labels = names[labels] if named else labels
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)
    with (
        serving(exported(tmp_path / "model.onnx", model, rows)) as server,
        client_of(server.ready()) as client,
    ):
        answer = client.post("/v1/models/tiny:predict", json={"instances": rows.tolist()}).json()[
            "predictions"
        ]
        assert [row["output_label"] for row in answer] == model.predict(rows).tolist()
        scores = [[row["output_probability"][str(key)] for key in model.classes_] for row in answer]
        np.testing.assert_allclose(scores, model.predict_proba(rows), atol=1e-5)
        tensor = {"name": "X", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
        flat = client.post("/v2/models/tiny/infer", json={"inputs": [tensor]}).json()["outputs"][1]
        assert flat["shape"] == [150, 3]
        np.testing.assert_allclose(np.reshape(flat["data"], (150, 3)), scores)


def test_a_regressor_answers_what_it_predicts(tmp_path):
    rows, targets = load_diabetes(return_X_y=True)
    rows = rows.astype(np.float32)[:100]
    model = GradientBoostingRegressor(n_estimators=10, random_state=0).fit(rows, targets[:100])
    with (
        serving(exported(tmp_path / "model.onnx", model, rows)) as server,
        client_of(server.ready()) as client,
    ):
        answer = client.post("/v1/models/tiny:predict", json={"instances": rows.tolist()}).json()[
            "predictions"
        ]
    np.testing.assert_allclose(np.ravel(answer), model.predict(rows), rtol=1e-4)


def threads(server):
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_a_replica_has_the_threads_it_was_given_and_no_pool_beside_them(tmp_path, iris):
    model = exported(tmp_path / "model.onnx", LogisticRegression().fit(*iris), iris[0])
    with serving(model, "--threads", 1) as one, serving(model, "--threads", 4) as four:
        assert threads(four.ready()) - threads(one.ready()) == 3
        assert threads(one) <= 2
