"""Makes the weight files of this folder. See README.md."""

import collections
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
]


def every_kind():
    """One of everything that a checkpoint of plain values and tensors may hold."""
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    tensors = collections.OrderedDict()
    for dtype in TYPES:
        tensors[str(dtype).removeprefix("torch.")] = torch.tensor([[1, 2, 3], [-4, 5, 6]]).to(dtype)
    tensors["bool"] = torch.tensor([True, False, True])
    tensors["complex64"] = torch.tensor([1 + 2j])
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 3)
    return {
        "tensors": tensors,
        "base": base,
        "row": base[1],
        "column": base[:, 2],
        "transposed": base.t(),
        "expanded": torch.tensor([7.0]).expand(4),
        "channels_last": torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.tensor([0.5, -0.5])),
        "values": {
            "none": None, "true": True, "small": 3, "negative": -70000, "large": 2**60,
            "float": 0.25, "text": "grüße", "bytes": b"\x00\xff", "tuple": (1, (2, 3), ()),
            "list": [1, [2, []]], "set": {5}, 7: "by number", "size": torch.Size([2, 3]),
            "dtype": torch.bfloat16, "device": torch.device("cpu"),
            "numpy_float": np.float64(1.5), "numpy_int": np.int32(-9), "numpy_bool": np.bool_(True),
            "default": collections.defaultdict(list, {"a": [1]}), "counter": collections.Counter({"b": 2}),
        },
    }


def training_state():
    """A training state as score_sde keeps it."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    shadow = [p.clone().detach() for p in model.parameters()]
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    wrapped = torch.nn.DataParallel(model)
    ema = {"decay": 0.999, "num_updates": 1, "shadow_params": shadow}
    return {"optimizer": optimizer.state_dict(), "model": wrapped.state_dict(), "ema": ema, "step": 1}


def save(name, value, **options):
    torch.save(value, os.path.join(HERE, name), **options)


class Harmful:
    """What a pickle must not be able to do."""

    def __reduce__(self):
        return os.system, ("exit 1",)


for protocol in (2, 3, 4, 5):
    save(f"zip-{protocol}.pt", every_kind(), pickle_protocol=protocol)
    save(f"legacy-{protocol}.pt", every_kind(), pickle_protocol=protocol, _use_new_zipfile_serialization=False)
save("score_sde.pth", training_state())
save("score_sde-legacy.pth", training_state(), _use_new_zipfile_serialization=False)
save("harmful.pt", {"weight": torch.zeros(1), "other": Harmful()})
save("harmful-legacy.pt", {"weight": torch.zeros(1), "other": Harmful()}, _use_new_zipfile_serialization=False)
save("weights.bin", collections.OrderedDict({"conv_in.bias": torch.tensor([2.0])}))
save("whole-module.pt", torch.nn.Linear(1, 1))
print(sys.version, torch.__version__, np.__version__)
