/* log - key=value lines on standard error or wherever main says, one event a line. Never carries
 * addresses, tokens, keys, upload ids or file names. Any thread; lines do not interleave. */
#ifndef RESTANTE_BASE_LOG_H
#define RESTANTE_BASE_LOG_H

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Where lines go: `line` ends without a newline and is borrowed. Called under the log's lock. */
typedef void log_sink(void *ctx, enum log_level level, const char *line);

/* Sets the lowest level written and the sink; NULL is standard error. Call while no other thread
 * logs. Without a call: info to standard error. */
void log_setup(enum log_level lowest, log_sink *sink, void *ctx);

/* Changes where lines go, and the lowest level. Any thread. */
void log_set_sink(log_sink *sink, void *ctx);
void log_set_level(enum log_level lowest);

/* Writes `time=… level=… ` and the rest, which the caller words as key=value pairs. No value can be
 * taken for another pair or another line: in what %s stands for, quotes, backslashes, control
 * characters and what is not UTF-8 are escaped (\" \\ \n \r \t \xNN), and unless the caller wrote
 * quotes around the %s, a value that needs them gets them. A line ends at 500 bytes.
 *
 * Of printf's conversions %s and %.*s, integers (with l, ll, z, j) and %% are known. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
