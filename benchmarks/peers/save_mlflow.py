"""Write the model in MLflow's format; run by the interpreter that serves it."""

import sys

import mlflow.xgboost
import xgboost

mlflow.xgboost.save_model(xgboost.Booster({"nthread": 1}, model_file=sys.argv[1]), sys.argv[2])
