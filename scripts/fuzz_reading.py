"""Read random and damaged files with every reader, and compare with what they say; see tests/fuzz.

    python -m scripts.fuzz_reading --inputs 20000

Prints the counts of verdicts and each fault with its kind and seed; the exit code is 1 if there is a fault.
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.campaign import MEMORY, SECONDS, Campaign, jobs


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first input")
    args = parser.parse_args(arguments)
    campaign = Campaign()
    campaign.run(jobs(args.inputs, args.first))
    for (group, verdict), count in sorted(campaign.counts.items()):
        print(f"{group:20s} {verdict:22s} {count:7,d}")
    print(f"{args.inputs:,} inputs, {sum(campaign.counts.values()):,} readings, {len(campaign.faults)} faults")
    print(f"at most {SECONDS:g} s and {MEMORY:,} bytes of address space each; largest memory {campaign.peak:,} bytes")
    print(*campaign.faults[:50], sep="\n")
    return int(bool(campaign.faults))


if __name__ == "__main__":
    sys.exit(main())
