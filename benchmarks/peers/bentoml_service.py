"""The model in BentoML, as its documentation shows it; run by BentoML's own interpreter."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=1)
class Predictor:
    def __init__(self) -> None:
        self.booster = xgboost.Booster({"nthread": 1}, model_file=os.environ["PEER_MODEL"])

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.booster.inplace_predict(rows.astype(np.float32))
