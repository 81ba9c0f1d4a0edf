/*
 * Purpose: `standin completion bash|zsh`: a completion script made of the tables of verbs and
 * options. After `run` the program's name is completed as a command, and what follows it by the
 * program's own completion.
 */
#include <stdio.h>
#include <string.h>

#include "msg.h"
#include "options.h"
#include "verbs.h"

enum { EXIT_TROUBLE = 2 };

static bool needs_value(const char *arg)
{
    return arg && arg[0] != '[';
}

static void bash_options(enum verb verb)
{
    const char *gap = "";
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (option_table[i].verbs & verb) {
            printf("%s--%s%s", gap, option_table[i].name,
                   needs_value(option_table[i].arg) ? "=" : "");
            gap = " ";
        }
    }
}

static void bash(void)
{
    puts("# bash completion for standin: what `standin completion bash` prints\n"
         "_standin()\n"
         "{\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} verb= at\n"
         "    for ((at = 1; at < COMP_CWORD; at++)); do\n"
         "        [[ ${COMP_WORDS[at]} == -* ]] || { verb=${COMP_WORDS[at]}; break; }\n"
         "    done\n"
         "    if [[ $verb == run || $verb == compare ]]; then\n"
         "        for ((at++; at < COMP_CWORD; at++)); do\n"
         "            case ${COMP_WORDS[at]} in\n"
         "                --) ((at++)); break ;;\n"
         "                -* | =) ;;\n"
         "                *) [[ ${COMP_WORDS[at - 1]} == = ]] || break ;;\n"
         "            esac\n"
         "        done\n"
         "        if ((at < COMP_CWORD)); then\n"
         "            declare -F _command_offset >/dev/null && _command_offset $at\n"
         "            return\n"
         "        fi\n"
         "    fi\n"
         "    local words=\n"
         "    case $verb in");
    printf("        '') words='");
    for (size_t i = 0; i < VERBS; i++) {
        printf("%s ", verb_table[i].name);
    }
    bash_options(VERB_NONE);
    puts("' ;;");
    for (size_t i = 0; i < VERBS; i++) {
        printf("        %s) words='", verb_table[i].name);
        bash_options(verb_table[i].bit);
        puts("' ;;");
    }
    puts("    esac\n"
         "    if [[ $cur == -* || -z $verb ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
         "        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
         "    elif [[ $verb == run || $verb == compare ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
         "    elif [[ $verb == completion ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -W 'bash zsh' -- \"$cur\")\n"
         "    else\n"
         "        compopt -o default\n"
         "    fi\n"
         "}\n"
         "complete -F _standin standin");
}

/* In zsh's specifications, brackets and colons mean something, and the whole stands in single
 * quotes. */
static void zsh_text(const char *s)
{
    for (; *s; s++) {
        if (strchr("[]:\\", *s)) {
            putchar('\\');
        }
        fputs(*s == '\'' ? "'\\''" : (char[]){*s, '\0'}, stdout);
    }
}

static void zsh_options(enum verb verb)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (option_table[i].verbs & verb) {
            printf("                '--%s%s[", option_table[i].name,
                   option_table[i].arg ? "=" : "");
            zsh_text(option_table[i].help);
            printf("]%s", needs_value(option_table[i].arg) ? ":" : option_table[i].arg ? "::" : "");
            zsh_text(option_table[i].arg ? option_table[i].arg : "");
            puts(option_table[i].arg ? ":_default' \\" : "' \\");
        }
    }
}

static void zsh(void)
{
    puts("#compdef standin\n"
         "# zsh completion for standin: what `standin completion zsh` prints\n"
         "_standin()\n"
         "{\n"
         "    local -a verbs\n"
         "    verbs=(");
    for (size_t i = 0; i < VERBS; i++) {
        printf("        '%s:", verb_table[i].name);
        zsh_text(verb_table[i].help);
        puts("'");
    }
    puts("    )\n"
         "    if ((CURRENT == 2)); then\n"
         "        _describe verb verbs\n"
         "        return\n"
         "    fi\n"
         "    local verb=$words[2]\n"
         "    shift words\n"
         "    ((CURRENT--))\n"
         "    case $verb in");
    for (size_t i = 0; i < VERBS; i++) {
        const struct verb_info *v = &verb_table[i];
        printf("        %s)\n            _arguments -S \\\n", v->name);
        zsh_options(v->bit);
        puts(v->bit & (VERB_RUN | VERB_COMPARE)
                 ? "                '(-):program:_command_names -e' \\\n"
                   "                '*::argument:_normal'"
             : v->bit == VERB_COMPLETION ? "                ':shell:(bash zsh)'"
                                         : "                '*:file:_files'");
        puts("            ;;");
    }
    puts("    esac\n"
         "}\n"
         "_standin \"$@\"");
}

int verb_completion(int argc, char *argv[])
{
    struct options o;
    int at = options_parse(&o, VERB_COMPLETION, argc, argv);

    if (at < 0) {
        return EXIT_TROUBLE;
    }
    const char *shell = argc - at == 1 ? argv[at] : "";
    if (o.help || strcmp(shell, "bash") == 0) {
        o.help ? (void)puts("Usage: standin completion bash | zsh") : bash();
        return 0;
    }
    if (strcmp(shell, "zsh") == 0) {
        zsh();
        return 0;
    }
    msg("which shell? standin completion bash, or zsh");
    msg_do("Use:", "source <(standin completion bash)");
    return EXIT_TROUBLE;
}
