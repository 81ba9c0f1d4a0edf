/*
 * log.h - the library's own words: on stderr, and only if STANDIN_LOG asks for them. Never through
 * a hooked function, errno untouched, no allocation.
 */
#ifndef STANDIN_PRELOAD_LOG_H
#define STANDIN_PRELOAD_LOG_H

enum log_level {
    LOG_OFF,
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
    LOG_TRACE,
};

extern enum log_level log_level;

/* "warn"; an unknown word is "off". */
void log_level_set(const char *word);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define LOG(level, ...)                     \
    do {                                    \
        if (log_level >= (level)) {         \
            log_line((level), __VA_ARGS__); \
        }                                   \
    } while (0)

#endif
