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


def rarer_kinds():
    """What some versions of torch and some training states hold besides."""
    tagged, parameter = torch.tensor([1.0, 2.0]), torch.nn.Parameter(torch.tensor([3.0]))
    tagged.tag, parameter.tag = "kept in memory only", "also"
    return {
        "uint16": torch.tensor([1, 65535], dtype=torch.uint16),
        "typed_view": torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.uint16).t(),
        "float8": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
        "tagged": tagged, "parameter": parameter, "buffer": torch.nn.Buffer(torch.tensor([4.0])),
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "by_columns": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "flat": np.array([0.5, -1.0], dtype=np.float32),
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


class Frequencies(torch.nn.Module):
    """A parameter that is not trained, as the Fourier embedding of score_sde."""

    def __init__(self):
        super().__init__()
        self.W = torch.nn.Parameter(torch.tensor([16.0, -16.0]), requires_grad=False)


class Mixing(torch.nn.Module):
    """A parameter of the same name that is trained, in a layer."""

    def __init__(self):
        super().__init__()
        self.W = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        self.b = torch.nn.Parameter(torch.zeros(2))


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.GroupNorm_0 = torch.nn.GroupNorm(1, 2)
        self.NIN_0 = Mixing()


class ScoreNetwork(torch.nn.Module):
    """The kinds of entries that the state of a network of score_sde has."""

    def __init__(self):
        super().__init__()
        self.register_buffer("sigmas", torch.tensor([50.0, 0.01], dtype=torch.float64))
        layers = [Frequencies(), torch.nn.Linear(4, 2), torch.nn.Conv2d(3, 2, 1), Attention()]
        self.all_modules = torch.nn.ModuleList(layers)


def score_state(shadow_change=None):
    """A training state of score_sde whose average is everywhere 1 more than the weights."""
    torch.manual_seed(1)
    model = torch.nn.DataParallel(ScoreNetwork())
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    shadow = [p.detach() + 1 for p in model.parameters() if p.requires_grad]
    if shadow_change:
        shadow = shadow_change(shadow)
    ema = {"decay": 0.9999, "num_updates": 5, "shadow_params": shadow}
    return {"optimizer": optimizer.state_dict(), "model": model.state_dict(), "ema": ema, "step": 5}


def adm_state():
    """The entries of a network of guided-diffusion by which it is told from others."""
    names = {
        "time_embed.0.weight": (128, 32), "time_embed.0.bias": (128,), "label_emb.weight": (10, 128),
        "input_blocks.0.0.weight": (32, 3, 1, 1), "input_blocks.1.0.emb_layers.1.weight": (64, 1),
        "input_blocks.1.0.out_layers.3.weight": (32, 1, 1, 1), "middle_block.0.in_layers.0.weight": (32,),
        "output_blocks.0.0.in_layers.0.weight": (64,), "out.2.weight": (6, 32, 1, 1), "out.2.bias": (6,),
    }
    return {name: torch.zeros(shape, dtype=torch.float16) for name, shape in names.items()}


for protocol in (2, 3, 4, 5):
    save(f"zip-{protocol}.pt", every_kind(), pickle_protocol=protocol)
    save(f"legacy-{protocol}.pt", every_kind(), pickle_protocol=protocol, _use_new_zipfile_serialization=False)
for protocol in (2, 5):
    save(f"rarer-zip-{protocol}.pt", rarer_kinds(), pickle_protocol=protocol)
save("rarer-legacy-2.pt", rarer_kinds(), _use_new_zipfile_serialization=False)
save("zip-1.pt", every_kind(), pickle_protocol=1)
save("conjugate.pt", torch.tensor([1 + 2j]).conj())
save("sparse.pt", torch.eye(2).to_sparse())
save("score_sde.pth", training_state())
save("score_sde-legacy.pth", training_state(), _use_new_zipfile_serialization=False)
save("network.pth", score_state())
save("no-average.pth", {"model": score_state()["model"], "step": 5})
save("average-too-short.pth", score_state(lambda shadow: shadow[:-1]))
save("average-of-another.pth", score_state(lambda shadow: [torch.zeros(3, 3), *shadow[1:]]))
save("adm.pt", adm_state())
save("harmful.pt", {"weight": torch.zeros(1), "other": Harmful()})
save("harmful-legacy.pt", {"weight": torch.zeros(1), "other": Harmful()}, _use_new_zipfile_serialization=False)
save("weights.bin", collections.OrderedDict({"conv_in.bias": torch.tensor([2.0])}))
save("whole-module.pt", torch.nn.Linear(1, 1))
print(sys.version, torch.__version__, np.__version__)
