"""The model in LitServe, as its documentation shows it; run by LitServe's own interpreter."""

import os
import sys

import litserve
import numpy as np
import xgboost


class Predictor(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.booster = xgboost.Booster({"nthread": 1}, model_file=os.environ["PEER_MODEL"])

    def decode_request(self, request: dict[str, list[list[float]]]) -> np.ndarray:
        return np.array(request["rows"], dtype=np.float32)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.booster.inplace_predict(rows)

    def encode_response(self, output: np.ndarray) -> dict[str, list[float]]:
        return {"output": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Predictor(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error",
        access_log=False,
    )  # fmt: skip
