"""The estimators of scikit-learn: its own checks, its tools, and what pickles hold."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentdial.sklearn import LatentDetector, LatentTransformer

FEW = {"steps": 5, "batch": 16}


@pytest.fixture(scope="module")
def rows(discs) -> np.ndarray:
    """The shared discs laid flat, (48, 768)."""
    return discs.reshape(len(discs), -1)


@parametrize_with_checks([LatentTransformer(latent=2), LatentDetector(latent=2)])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_codes_and_back(rows):
    coder = LatentTransformer(latent=12, shape=(16, 16, 3)).fit(rows)
    codes = coder.transform(rows)
    assert codes.shape == (48, 12)
    near = np.abs(coder.inverse_transform(codes) - rows).mean()
    assert near < 0.6 * np.abs(rows.mean(0) - rows).mean()
    assert coder.score_samples(rows).shape == (48,)
    assert coder.score(rows) == pytest.approx(coder.score_samples(rows).mean())
    names = coder.set_output(transform="pandas").transform(rows).columns
    assert list(names[:2]) == ["latenttransformer0", "latenttransformer1"] == coder.get_feature_names_out()[:2].tolist()


def test_a_net_of_another_recipe(rows):
    options = {"widths": [16]}
    coder = LatentTransformer("fcn-ae", latent=3, shape=(16, 16, 3), options=options, settings=FEW).fit(rows)
    assert coder.transform(rows[:5]).shape == (5, 3)


def test_pipeline_and_grid_search(rows):
    labels = rows.reshape(-1, 16, 16, 3)[:, 8, 8, 0] > 100
    pipeline = make_pipeline(LatentTransformer(shape=(16, 16, 3)), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipeline, {"latenttransformer__latent": [1, 4]}, cv=2).fit(rows, labels)
    assert search.best_score_ > 0.5
    assert clone(search.best_estimator_[0]).latent in (1, 4)


def test_a_detector_in_a_pipeline_and_a_search(rows):
    labels = np.repeat([1, -1], [48, 12])
    every = np.concatenate([rows, 255 - rows[:12]])
    detector = LatentDetector(latent=4, shape=(16, 16, 3), levels=(0, 255), false_alarms=0.2)
    pipeline = make_pipeline(FunctionTransformer(), detector).fit(rows)
    assert (pipeline.predict(255 - rows[:12]) == -1).all()
    folds = [(np.arange(48), np.arange(60))] * 2
    search = GridSearchCV(pipeline, {"latentdetector__latent": [2, 4]}, cv=folds, scoring="roc_auc", refit=False)
    assert search.fit(every, labels).best_score_ > 0.9
    assert clone(pipeline[-1]).get_params() == detector.get_params()
    assert not hasattr(clone(pipeline[-1]), "run_")


def test_a_pickle_holds_the_path_alone_and_says_when_it_is_gone(rows, tmp_path):
    fitted = LatentDetector(latent=4, shape=(16, 16, 3), run=str(tmp_path / "kept")).fit(rows)
    data = pickle.dumps(fitted)
    assert len(data) < 5000
    again = pickle.loads(data)
    assert again.score_samples(rows).tobytes() == fitted.score_samples(rows).tobytes()
    shutil.rmtree(tmp_path / "kept")
    with pytest.raises(NotFittedError, match="gone"):
        pickle.loads(data).predict(rows)


def test_what_was_fitted_goes_with_the_estimator(rows):
    coder = LatentTransformer(latent=2, shape=(16, 16, 3)).fit(rows)
    folder = Path(coder.run_)
    assert folder.is_dir()
    del coder
    assert not folder.exists()


def test_odd_rows_are_found_with_the_signs_of_both_libraries(rows):
    detector = LatentDetector(latent=4, shape=(16, 16, 3), false_alarms="20%").fit(rows)
    odd = 255 - rows[:8]
    assert (detector.predict(odd) == -1).all()
    assert (detector.decision_function(odd) < 0).all()
    assert (detector.labels_ == (detector.decision_scores_ > detector.threshold_)).all()
    assert np.allclose(detector.decision_function(rows), detector.threshold_ - detector.decision_scores_)


def test_bad_input_is_a_value_error(rows):
    with pytest.raises(ValueError, match="does not hold rows"):
        LatentTransformer(shape=(4, 4, 1)).fit(rows)
    with pytest.raises(ValueError, match="range"):
        LatentDetector(false_alarms=2).fit(rows)
    with pytest.raises(ValueError, match="no recipe"):
        LatentTransformer("taste").fit(rows)


def test_the_example_in_the_docs_runs(capsys):
    text = (Path(__file__).parents[1] / "docs/sklearn.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    exec(compile(example, "docs/sklearn.md", "exec"), {})
    assert "latenttransformer0" in capsys.readouterr().out
