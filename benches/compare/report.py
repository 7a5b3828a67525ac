"""Rows in figures, in ratios, and against what was aimed at."""

import statistics

FIGURES = ("bytes_per_s", "requests_per_s", "p50_s", "p99_s", "first_byte_p50_s", "cpu_s_per_gb", "memory", "memory_peak")

# What sealtape should have of a peer's figure: at least, or at most, by the kind of row.
# (peer, figure, is it a floor, the bound for a row; None where nothing was aimed at)
TARGETS = (
    ("nginx", "bytes_per_s", True, lambda row: 0.95 if row.is_tls else 0.75 if row.length == 64 << 10 else 0.85),
    ("nginx", "cpu_s_per_gb", False, lambda row: 1.15),
    ("nginx", "p99_s", False, lambda row: 1.3),
    ("gocryptfs + nginx", "bytes_per_s", True, lambda row: None if row.is_tls or row.is_cold else 3),
    ("rclone crypt", "bytes_per_s", True, lambda row: None if row.is_tls or row.is_cold else 50 if row.length else 4),
)

WORDS = {"bytes_per_s": "throughput", "cpu_s_per_gb": "CPU per GB", "p99_s": "p99"}


def median(turns):
    return {figure: statistics.median(turn[figure] for turn in turns) for figure in FIGURES}


def ratio(ours, theirs, figure):
    """The median over the rounds of sealtape : peer, and the least and the most of them."""
    each = [a[figure] / b[figure] for a, b in zip(ours, theirs) if b[figure]]
    return (statistics.median(each), min(each), max(each)) if each else None


def row_text(row, turns):
    """A row's medians, with the ratios to each peer."""
    lines, width = [f"\n{row.name}"], max(map(len, turns))
    lines.append(f"  {'':{width}} {'GB/s':>6} {'requests/s':>11} {'p50 ms':>9} {'p99 ms':>9} {'1st byte':>9} {'CPU s/GB':>9} "
                 f"{'MiB':>5} {'peak':>5}")
    for name, its in turns.items():
        it = median(its)
        lines.append(f"  {name:{width}} {it['bytes_per_s'] / 1e9:6.2f} {it['requests_per_s']:11.1f} {it['p50_s'] * 1e3:9.2f} "
                     f"{it['p99_s'] * 1e3:9.2f} {it['first_byte_p50_s'] * 1e3:9.3f} {it['cpu_s_per_gb']:9.3f} "
                     f"{int(it['memory']) >> 20:5} {int(it['memory_peak']) >> 20:5}")
    first = next(iter(turns))
    for name in turns:
        if name == first:
            continue
        parts = []
        for figure, word in WORDS.items():
            if it := ratio(turns[first], turns[name], figure):
                parts.append(f"{word} {it[0]:.2f} ({it[1]:.2f}..{it[2]:.2f})")
        lines.append(f"  {first} : {name}   {',  '.join(parts)}")
    return "\n".join(lines)


def targets(results):
    """Every target that a peer was measured for: its bound, the ratio and whether it is reached."""
    found = []
    for row, turns in results:
        for peer, figure, is_floor, bound in TARGETS:
            wanted = bound(row)
            if wanted is None or peer not in turns or "sealtape" not in turns:
                continue
            if it := ratio(turns["sealtape"], turns[peer], figure):
                is_reached = it[0] >= wanted if is_floor else it[0] <= wanted
                found.append({"row": row.name, "peer": peer, "figure": WORDS[figure], "bound": wanted,
                              "at_least": is_floor, "ratio": it[0], "least": it[1], "most": it[2], "reached": is_reached})
    return found


def targets_text(found):
    lines = ["\nTargets, sealtape : peer, by the median"]
    for it in found:
        sign = ">=" if it["at_least"] else "<="
        lines.append(f"  {'reached    ' if it['reached'] else 'NOT reached'}  {it['row']:30} {it['figure']:10} : {it['peer']:18}"
                     f" {it['ratio']:7.2f} ({it['least']:.2f}..{it['most']:.2f}), wanted {sign} {it['bound']}")
    return "\n".join(lines)


def table_text(results):
    """The ratios as a table in Markdown."""
    columns = (("nginx", "bytes_per_s"), ("nginx", "cpu_s_per_gb"), ("nginx", "p99_s"),
               ("gocryptfs + nginx", "bytes_per_s"), ("rclone crypt", "bytes_per_s"))
    lines = ["\n| sealtape has | of nginx's throughput | of its CPU per GB | of its p99 | of gocryptfs + nginx's throughput "
             "| of rclone crypt's |", "|---|---|---|---|---|---|"]
    for row, turns in results:
        cells = []
        for peer, figure in columns:
            it = peer in turns and "sealtape" in turns and ratio(turns["sealtape"], turns[peer], figure)
            cells.append(f"{it[0]:.2f}" if it else "")
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)
