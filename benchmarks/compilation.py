"""How long each kernel takes to compile: seconds of processor time, each in a process of its own.

python benchmarks/compilation.py
"""

import os
import subprocess
import sys
import tempfile
import time

KERNELS = [("polling", False), ("push", False), ("polling", True), ("push", True)]


def compile_kernel(name, with_options):
    from lhsim import load_system
    from lhsim.compiled import kernel, setup
    from lhsim.compiled.state import addresses
    from lhsim.metrics.account import Window

    window = Window(0.0, 1.0, 1.0)
    state = setup.state_of(load_system(name), 2, 1, window, keep_messages=False)
    begun = time.process_time()
    kernel.RUNS[name, with_options](addresses(state), 0.0, 0)
    return time.process_time() - begun


def main():
    if len(sys.argv) == 3:
        print(compile_kernel(sys.argv[1], sys.argv[2] == "True"))
        return
    for name, with_options in KERNELS:
        with tempfile.TemporaryDirectory() as folder:
            program = [sys.executable, __file__, name, str(with_options)]
            done = subprocess.run(
                program,
                env=os.environ | {"NUMBA_CACHE_DIR": folder},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        options = "with options" if with_options else "without"
        print(f"{name:8} {options:14} {float(done.stdout):6.1f} s", flush=True)


if __name__ == "__main__":
    main()
