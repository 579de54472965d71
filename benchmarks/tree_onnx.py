"""The same trees for onnxruntime, as a control: one TreeEnsembleRegressor and a logistic."""

import json

from onnx import TensorProto, helper

from models.trees import compile_trees


def tree_onnx(document: bytes) -> bytes:
    """ONNX model of XGBoost's JSON document; input "rows" float32[k, n], output p float32[k, 1]."""
    trees = json.loads(document)["learner"]["gradient_booster"]["model"]["trees"]
    heap = compile_trees(document)
    attributes: dict[str, list] = {
        f"nodes_{name}": []
        for name in (
            *("treeids", "nodeids", "featureids", "values", "modes", "truenodeids"),
            *("falsenodeids", "missing_value_tracks_true"),
        )
    } | {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(trees):
        for node, left in enumerate(tree["left_children"]):
            leaf = left == -1
            row = {
                "treeids": number,
                "nodeids": node,
                "featureids": 0 if leaf else tree["split_indices"][node],
                "values": 0.0 if leaf else tree["split_conditions"][node],
                "modes": "LEAF" if leaf else "BRANCH_LT",
                "truenodeids": 0 if leaf else left,
                "falsenodeids": 0 if leaf else tree["right_children"][node],
                "missing_value_tracks_true": 0 if leaf else tree["default_left"][node],
            }
            for name, value in row.items():
                attributes[f"nodes_{name}"].append(value)
            if leaf:
                weight = tree["split_conditions"][node]
                for name, value in zip(
                    ("treeids", "nodeids", "ids", "weights"), (number, node, 0, weight), strict=True
                ):
                    attributes[f"target_{name}"].append(value)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["rows"],
        ["margin"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[float(heap.base_margin)],
        aggregate_function="SUM",
        **attributes,
    )
    graph = helper.make_graph(
        [ensemble, helper.make_node("Sigmoid", ["margin"], ["p"])],
        "trees",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, heap.n_features])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
