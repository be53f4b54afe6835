# figures.awk - tests/bench/targets and then samples, to a line for each pair of a figure and who
# stands beside it (none: "-"), with tabs between:
#   figure plot unit what  median min max  name who median min max  ratio neighbours  target reached
# ratio: of the medians; neighbours: median of the ratios run by run. A target counts as reached when
# both reach it.
function median(a, n,   i, j, t) {
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
function spread(figure, name,   i, n, v) {
	n = runs[figure, name]
	for (i = 1; i <= n; i++) v[i] = sample[figure, name, i]
	mid = median(v, n)
	return mid "\t" v[1] "\t" v[n]
}
function meets(v, target,   t) {
	split(target, t, " ")
	return t[1] == ">=" ? v >= t[2] : t[1] == ">" ? v > t[2] : t[1] == "<=" ? v <= t[2] : -1
}
function verdict(target, ok) { return target == "-" ? "-\t-" : target "\t" (ok ? "yes" : "no") }
function alone(figure, target) {
	print figure, about[figure], spread(figure, "ours"), "-", "-", "-", "-", "-", "-", "-", verdict(target, meets(mid, target))
}
function beside(figure, name, target, who,   i, n, r, ours, theirs, our_mid, ratio, near) {
	ours = spread(figure, "ours"); our_mid = mid
	theirs = spread(figure, name); ratio = our_mid / mid
	n = runs[figure, name] < runs[figure, "ours"] ? runs[figure, name] : runs[figure, "ours"]
	for (i = 1; i <= n; i++) r[i] = sample[figure, "ours", i] / sample[figure, name, i]
	near = median(r, n)
	print figure, about[figure], ours, name, who, theirs, ratio, near, verdict(target, meets(ratio, target) && meets(near, target))
}
BEGIN { FS = OFS = "\t" }
FILENAME ~ /targets$/ && (/^#/ || /^$/) { next }
FILENAME ~ /targets$/ && /^[^\t]/ { order[++figures] = $1; about[$1] = $2 OFS $3 OFS $4; next }
FILENAME ~ /targets$/ { f = order[figures]; line[f, ++lines[f]] = $2 OFS $3 OFS $4; next }
{ if (!($1 in about)) print "no such figure: " $1 >"/dev/stderr"; sample[$1, $3, ++runs[$1, $3]] = $4 }
END {
	for (i = 1; i <= figures; i++) {
		f = order[i]
		if (!runs[f, "ours"]) continue
		own = "-"
		for (k = 1; k <= lines[f]; k++) { split(line[f, k], t, FS); if (t[1] == "-") own = t[2] }
		shown = 0
		if (own != "-") { alone(f, own); shown = 1 }
		for (k = 1; k <= lines[f]; k++) {
			split(line[f, k], t, FS)
			if (t[1] != "-" && runs[f, t[1]]) { beside(f, t[1], t[2], t[3]); shown = 1 }
		}
		if (!shown) alone(f, "-")
	}
}
