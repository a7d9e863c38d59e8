"""The paper's own values, for reference lines: averages over LongLaMP's tasks.

Tables 1 and 3 are exact; what stands in figures is read off their curves, to
about half a grid line.
"""

# Table 1 and Table 3: {title: average}.
TABLES = {
    "test": {
        "SFT": 0.3976,
        "SFT w/ Reasoning-Enhancement": 0.3905,
        "ReST-EM": 0.4274,
        "REST-PG": 0.4554,
    },
    "validation": {
        "SFT": 0.4116,
        "SFT w/ Reasoning-Enhancement": 0.4231,
        "ReST-EM": 0.4444,
        "REST-PG": 0.4846,
    },
}
# Figure 3, test: {curve: {iterations: average}}.
ITERATIONS = {
    "ReST-EM": {0: 0.397, 1: 0.417, 2: 0.4175, 3: 0.4274},
    "REST-PG": {0: 0.390, 1: 0.423, 2: 0.435, 3: 0.4554},
}
# Figures 2 and 9: {split: {curve: {m: average}}}.
BUDGET = {
    "test": {
        "REST-PG": {8: 0.4195, 16: 0.4218, 32: 0.4231, 64: 0.4211, 128: 0.4204}
    },
    "validation": {
        "REST-PG": {8: 0.451, 16: 0.456, 32: 0.457, 64: 0.4505, 128: 0.452}
    },
}
# Figure 4: the average after one iteration, relative to that from base.
START = {"base": 1.0, "sft": 0.96}
# Figure 5: {curve: {share of profiles swapped: average}}.
SHUFFLE = {"SFT": {0.0: 0.398, 0.25: 0.381, 0.5: 0.361, 0.75: 0.344, 1.0: 0.32}}
