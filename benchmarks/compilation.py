"""How long each kernel takes to compile: seconds of processor time, each in a process of its own.

python benchmarks/compilation.py
"""

import os
import subprocess
import sys
import tempfile
import time

COVERED = ("without", "with options", "with failures")
KERNELS = [(name, covers) for covers in range(len(COVERED)) for name in ("polling", "push")]


def compile_kernel(name, covers):
    from lhsim import load_system
    from lhsim.compiled import kernel, setup
    from lhsim.compiled.state import addresses
    from lhsim.metrics.account import Window

    window = Window(0.0, 1.0, 1.0)
    state = setup.state_of(load_system(name), 2, 1, window, keep_messages=False)
    begun = time.process_time()
    kernel.RUNS[name, covers](addresses(state), 0.0, 0)
    return time.process_time() - begun


def main():
    if len(sys.argv) == 3:
        print(compile_kernel(sys.argv[1], int(sys.argv[2])))
        return
    for name, covers in KERNELS:
        with tempfile.TemporaryDirectory() as folder:
            program = [sys.executable, __file__, name, str(covers)]
            done = subprocess.run(
                program,
                env=os.environ | {"NUMBA_CACHE_DIR": folder},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        print(f"{name:8} {COVERED[covers]:14} {float(done.stdout):6.1f} s", flush=True)


if __name__ == "__main__":
    main()
