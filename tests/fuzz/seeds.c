/*
 * seeds.c - runs files through a fuzzer's entry once each: the seeds in corpus/, or what a fuzzer
 * has found.
 */
#include "tests/fuzz/fuzz.h"

int main(int argc, char **argv)
{
    static uint8_t data[1 << 20];

    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        size_t n = fread(data, 1, sizeof data, f);
        fclose(f);
        LLVMFuzzerTestOneInput(data, n);
    }
    return 0;
}
