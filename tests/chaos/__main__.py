"""`make chaos`: kill and freeze everything under load, let it settle, and have every account judged from outside.

The same seed gives the same faults in the same order and the same customers; how they fall together is up to the
machine. Exit code 0 only when every check looked at something and found nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from infra.clock import DevelopmentClock
from tests.chaos.bulk import BulkSender
from tests.chaos.customers import Market, shop
from tests.chaos.evidence import Evidence
from tests.chaos.gather import books, committed_log, dead_letters, published_access, read_models
from tests.chaos.report import print_faults, print_load, print_verdict, say
from tests.chaos.settle import provider_misbehaves, provider_recovers, settle
from tests.chaos.tokens import Tokens
from tests.chaos.verifier import Finding, is_good, verify
from tests.chaos.victims import Stack, Torturer, schedule
from tests.http_client import Client

SHOPPERS = 64
BULK_LANES = 4
WORKERS = 2
AUDIT_TIMEOUT_S = 300
LEAP_EACH_S, LEAP_DAYS_MAX = 20.0, 14
"""So often the clock leaps, and so far at most: every stage of dunning and grace is met."""
DAYS_MIN = 120
"""Time that passes under fire at least, so that many a subscription renews twice."""
RENEWALS_MIN, REFUNDS_MIN = 20, 20
"""Fewer would prove nothing."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", type=int, default=20_000, help="different commands that must be promised")
    parser.add_argument("--rounds", type=int, default=2, help="at least so many times each kind of fault per victim")
    parser.add_argument("--calm", action="store_true", help="no faults: does the load itself pass?")
    parser.add_argument("--keep", action="store_true", help="keep the data directory")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> bool:
    """One run; whether it was good."""
    data_dir = Path(tempfile.mkdtemp(prefix="billing-chaos-"))
    stack = Stack(data_dir, workers=WORKERS)
    say(f"seed {options.seed}, data in {data_dir}")
    is_passed = False
    try:
        is_passed = await _run(stack, options)
    finally:
        code = await stack.stop()
        say(f"the stack ended with code {code}")
        if options.keep or not is_passed:
            say(f"kept: {data_dir} and {data_dir.with_suffix('.log')}")
        else:
            shutil.rmtree(data_dir, ignore_errors=True)
            data_dir.with_suffix(".log").unlink(missing_ok=True)
    return is_passed and code == 0


async def _run(stack: Stack, options: argparse.Namespace) -> bool:
    begin = time.monotonic()
    addresses = await stack.start()
    api, sandbox = urlsplit(addresses.api_url), urlsplit(addresses.sandbox_url)
    tokens = Tokens(stack.data_dir)
    market = Market(
        api=Client(str(api.hostname), int(api.port or 0)),
        sandbox=Client(str(sandbox.hostname), int(sandbox.port or 0)),
        token_of=tokens.of,
    )
    bulk = BulkSender(addresses, market, random.Random(f"{options.seed} bulk"))
    await bulk.start()
    await bulk.put_on_sale()
    if not options.calm:
        await provider_misbehaves(addresses, options.seed)
    say(f"ready after {time.monotonic() - begin:.0f} s; {options.commands} commands under fire")

    torturer = Torturer(stack, random.Random(f"{options.seed} faults"))
    is_over = asyncio.Event()
    clock = DevelopmentClock(stack.data_dir / "clock")
    load = [
        _let_time_pass(clock, random.Random(f"{options.seed} time"), is_over),
        *(
            shop(market, random.Random(f"{options.seed} shop {lane}"), f"c{lane}", is_over=is_over.is_set)
            for lane in range(SHOPPERS)
        ),
        *(bulk.work(lane, is_over.is_set) for lane in range(BULK_LANES)),
    ]
    working = [asyncio.create_task(_as_none(work)) for work in load]
    begin = time.monotonic()
    await _torture(torturer, market, clock, options, working)
    is_over.set()
    say(f"enough after {time.monotonic() - begin:.0f} s; the last customers are served")
    await asyncio.gather(*working)
    await bulk.stop()
    load_s = time.monotonic() - begin

    await provider_recovers(addresses)
    begin = time.monotonic()
    unsettled = await settle(stack)
    say(f"settled after {time.monotonic() - begin:.0f} s" if not unsettled else f"NOT settled: {unsettled}")
    await market.api.close()
    await market.sandbox.close()

    charges, refunds = await books(addresses)
    evidence = Evidence(
        sent=market.sent,
        log=await committed_log(addresses),
        charges=charges,
        refunds=refunds,
        read_models=read_models(addresses),
        published=await published_access(addresses),
        poison=bulk.poison,
        dead_letters=await dead_letters(addresses),
    )
    findings = [*verify(evidence), *_service(market, evidence, torturer, options, unsettled), await _audit(stack)]
    print_faults(torturer.done, stack.deaths())
    print_load(market, evidence, load_s)
    print_verdict(findings)
    return is_good(findings)


async def _let_time_pass(clock: DevelopmentClock, dice: random.Random, is_over: asyncio.Event) -> None:
    """Move the clock ahead again and again, under fire, so that subscriptions renew, are dunned and end."""
    while not is_over.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAP_EACH_S):
                await is_over.wait()
                return
        clock.advance(timedelta(days=dice.randint(1, LEAP_DAYS_MAX)))


async def _as_none(work: object) -> None:
    await work  # type: ignore[misc]  # one of the coroutines above; only its end matters


async def _torture(
    torturer: Torturer,
    market: Market,
    clock: DevelopmentClock,
    options: argparse.Namespace,
    working: list[asyncio.Task[None]],
) -> None:
    """Round after round, until there were enough of them, enough commands, and enough time has passed."""
    rounds = 0
    while rounds < options.rounds or market.accepted() < options.commands or clock.offset() < timedelta(days=DAYS_MIN):
        if options.calm:
            await asyncio.sleep(1)
            rounds += 1
        else:
            await torturer.work(schedule(torturer.dice, rounds=1))
            rounds += 1
        failed = [task for task in working if task.done() and task.exception() is not None]
        if failed:  # a bug of ours: a run without its load proves nothing
            await failed[0]
        say(f"  {market.accepted()} commands promised, {len(torturer.done)} faults")


def _service(
    market: Market, evidence: Evidence, torturer: Torturer, options: argparse.Namespace, unsettled: str
) -> list[Finding]:
    """What a run must have had to prove anything, and what customers may expect."""
    answered = Finding("every customer was answered in the end")
    for customer in market.gave_up:
        answered.require(False, f"{customer} got no answer")  # noqa: FBT003
    answered.require(True, "")  # noqa: FBT003
    settled = Finding("everything settled")
    settled.require(not unsettled, unsettled)
    enough = Finding("there was enough of everything")
    accepted = market.accepted()
    enough.require(accepted >= options.commands, f"{accepted} commands are fewer than {options.commands}")
    renewals = sum(record.headers["ce_type"] == "billing.subscription.renewed" for record in evidence.log)
    enough.require(renewals >= RENEWALS_MIN, f"{renewals} renewals are fewer than {RENEWALS_MIN}")
    enough.require(len(evidence.refunds) >= REFUNDS_MIN, f"{len(evidence.refunds)} refunds are fewer")
    if not options.calm:
        for fault in schedule(random.Random(0), rounds=1):
            times = sum(done.fault == fault for done in torturer.done)
            enough.require(times >= options.rounds, f"{fault.kind} {fault.victim}: {times} times only")
    return [answered, settled, enough]


async def _audit(stack: Stack) -> Finding:
    """The product's own auditor has to come to the same verdict."""
    finding = Finding("`billing audit verify` agrees")
    command = ["audit", "verify", "--grace", "0", "--json", "--data-dir", str(stack.data_dir)]
    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli.main", *command],
        capture_output=True,
        text=True,
        timeout=AUDIT_TIMEOUT_S,
        check=False,
    )
    try:
        document = json.loads(result.stdout)
    except json.JSONDecodeError:
        finding.require(False, f"exit code {result.returncode}: {result.stderr[-2_000:]}")  # noqa: FBT003
        return finding
    finding.checked = sum(check["checked"] for check in document["checks"])
    finding.faults += [f"{fault['account']} {fault['position']}: {fault['detail']}" for fault in document["faults"]]
    finding.require(result.returncode == 0, f"exit code {result.returncode}")
    return finding


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is killed is no news here
    sys.exit(0 if asyncio.run(main(arguments())) else 1)
