// Completions of a program for four shells, made from its table of options and commands.

import type { Completes, Option, ProgramTable, Shell } from "./options.ts";

/** The script that makes a shell complete a program's command line. Ends with a newline. */
export function completionScript(shell: Shell, table: ProgramTable): string {
  return { bash, zsh, fish, powershell }[shell](table);
}

/** The program's name as a shell's function can have it. */
const functionName = (program: string) => program.replace("-", "_");
const commandNames = ({ commands }: ProgramTable) => commands.map(({ name }) => name);
const optionNames = (options: readonly Option[]) => options.map(({ name }) => `--${name}`);
const takingValues = ({ options }: ProgramTable) => options.filter(({ kind }) => kind.completes !== "none");
const isWords = (completes: Completes): completes is readonly string[] => typeof completes === "object";

// ---------------------------------------------------------------- bash 4 and later

function bash(table: ProgramTable): string {
  const { program, options } = table;
  const self = functionName(program);
  const taking = takingValues(table);
  const values = taking
    .filter(({ kind }) => kind.completes !== "nothing")
    .map(({ name, kind: { completes } }) => {
      const act = isWords(completes)
        ? `mapfile -t COMPREPLY < <(compgen -W '${completes.join(" ")}' -- "$cur")`
        : `compopt -o ${completes === "folder" ? "dirnames" : "default"}`;
      return `    --${name}) ${act} ;;\n`;
    });
  const names = commandNames(table);
  return `# Completions of ${program} for bash 4 and later. In ~/.bashrc:  source <(${program} --completions bash)

_${self}() {
  local cur word value='' ended='' i
  local -a words=() given=()
  COMPREPLY=()
  # The shell splits words at ":" and "=" as well: put together again.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if ((\${#words[@]})) && [[ $word == [:=]* || \${words[-1]} == *[:=] ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  cur=\${words[-1]}
  for word in "\${words[@]:0:\${#words[@]}-1}"; do
    if [[ $value ]]; then
      value=''
    elif [[ $ended || $word != -* ]]; then
      given+=("$word")
    else
      case $word in
        --) ended=yes ;;
        ${optionNames(taking).join(" | ")}) value=$word ;;
      esac
    fi
  done
  if [[ ! $value && ! $ended && $cur == --*=* ]]; then
    value=\${cur%%=*} cur=\${cur#*=}
  fi
  # Files and folders are left to the shell, which knows how to quote them.
  case $value in
${values.join("")}  esac
  if [[ $value ]]; then
    return
  elif [[ ! $ended && $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '${optionNames(options).join(" ")}' -- "$cur")
  elif ((\${#given[@]} == 0)) || { ((\${#given[@]} == 1)) && [[ ! \${given[0]} =~ ^(${names.join("|")})$ ]]; }; then
    # A command comes first, or behind the tracker's address.
    mapfile -t COMPREPLY < <(compgen -W '${names.join(" ")}' -- "$cur")
  fi
}

complete -F _${self} ${program}
`;
}

// ---------------------------------------------------------------- zsh

/** Nothing else makes sense beside these. */
const ANSWERED_ALONE: readonly string[] = ["help", "version", "completions"];

function zsh(table: ProgramTable): string {
  const { program, options, commands } = table;
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const specs = options.map(({ name, label = "", kind: { completes, repeatable }, about }) => {
    const before = ANSWERED_ALONE.includes(name) ? "(- *)" : repeatable ? "*" : "";
    const description = `[${about.replace(/[[\]\\]/g, "\\$&")}]`;
    if (completes === "none") return quoted(`${before}--${name}${description}`);
    const action = isWords(completes)
      ? `(${completes.join(" ")})`
      : { file: "_files", folder: "_files -/", nothing: " " }[completes];
    return quoted(`${before}--${name}=${description}:${label.replaceAll(":", "\\:")}:${action}`);
  });
  specs.push("'1: :->command'", "'2: :->behind'");
  const described = commands.map(({ name, about }) => `    ${quoted(`${name}:${about}`)}\n`);
  return `#compdef ${program}
# Completions of ${program} for zsh: as "_${program}" in a folder of $fpath. Or in ~/.zshrc:  source <(${program} --completions zsh)

_${program}() {
  local curcontext=$curcontext state state_descr line
  local -A opt_args
  local -a commands=(
${described.join("")}  )
  _arguments -C -S \\
    ${specs.join(" \\\n    ")}
  # A command comes first, or behind the tracker's address.
  if [[ $state == command || ( $state == behind && ! $line[1] == (${commandNames(table).join("|")}) ) ]]; then
    _describe -t commands command commands
  fi
}

if [[ $funcstack[1] == _${program} ]]; then
  _${program} "$@"
else
  compdef _${program} ${program}
fi
`;
}

// ---------------------------------------------------------------- fish

function fish(table: ProgramTable): string {
  const { program, options, commands } = table;
  const quoted = (text: string) => `'${text.replace(/['\\]/g, "\\$&")}'`;
  const wants = `__${functionName(program)}_wants_command`;
  const lines = options.map(({ name, kind: { completes }, about }) => {
    const takes = isWords(completes)
      ? ` -x -a ${quoted(completes.join(" "))}`
      : { file: " -r -F", folder: " -x -a '(__fish_complete_directories)'", nothing: " -x", none: "" }[completes];
    return `complete -c ${program} -l ${name}${takes} -d ${quoted(about)}\n`;
  });
  const described = commands.map(({ name, about }) => `complete -c ${program} -n ${wants} -a ${name} -d ${quoted(about)}\n`);
  return `# Completions of ${program} for fish: as "${program}.fish" in ~/.config/fish/completions

# A command comes first, or behind the tracker's address.

function ${wants}
    set -l words (commandline -opc)
    set -e words[1]
    set -l given
    set -l value no
    for word in $words
        if test $value = yes
            set value no
        else if contains -- $word ${optionNames(takingValues(table)).join(" ")}
            set value yes
        else if not string match -q -- '-*' $word
            set -a given $word
        end
    end
    switch (count $given)
        case 0
            return 0
        case 1
            not contains -- $given[1] ${commandNames(table).join(" ")}
        case '*'
            return 1
    end
end

complete -c ${program} -f
${lines.join("")}${described.join("")}`;
}

// ---------------------------------------------------------------- PowerShell 5 and later

function powershell(table: ProgramTable): string {
  const { program, options, commands } = table;
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const row = (name: string, takes: string, about: string) =>
    `\n        [pscustomobject]@{ Name = ${quoted(name)}; Takes = ${quoted(takes)}; About = ${quoted(about)} }`;
  const optionRows = options.map(({ name, kind: { completes }, about }) => {
    const takes = isWords(completes)
      ? completes.join(" ")
      : { file: "file", folder: "folder", nothing: "text", none: "" }[completes];
    return row(`--${name}`, takes, about);
  });
  const commandRows = commands.map(({ name, about }) => row(name, "", about));
  return `# Completions of ${program} for PowerShell 5 and later. In the file that $PROFILE names:
#     ${program} --completions powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName '${program}', '${program}.exe' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # What an option takes: a file, a folder, a text, one of some words, or nothing.
    $options = @(${optionRows.join("")}
    )
    $commands = @(${commandRows.join("")}
    )
    $given = @()
    $option = $null
    foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $word = $element.Extent.Text.Trim([char[]]@(39, 34))
        if ($option) { $option = $null; continue }
        $option = $options | Where-Object { $_.Takes -and $_.Name -ceq $word } | Select-Object -First 1
        if (-not $option -and -not $word.StartsWith('-')) { $given += $word }
    }

    $found = @()
    if ($option) {
        $takes = $option.Takes
        if ($takes -eq 'file') {
            $found = @([System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete))
        } elseif ($takes -eq 'folder') {
            $found = @([System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete) |
                Where-Object { $_.ResultType -eq 'ProviderContainer' })
        } elseif ($takes -ne 'text') {
            $found = @($takes -split ' ' | Where-Object { $_ -like "$wordToComplete*" } |
                ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) })
        }
    } else {
        $rows = @()
        if ($wordToComplete.StartsWith('-')) {
            $rows = $options
        } elseif ($given.Count -eq 0 -or ($given.Count -eq 1 -and -not ($commands | Where-Object { $_.Name -ceq $given[0] }))) {
            # A command comes first, or behind the tracker's address.
            $rows = $commands
        }
        $found = @($rows | Where-Object { $_.Name.StartsWith($wordToComplete) } |
            ForEach-Object { [System.Management.Automation.CompletionResult]::new($_.Name, $_.Name, 'ParameterValue', $_.About) })
    }
    # Nothing at all would be taken for "any file".
    if ($found.Count -eq 0) { '' } else { $found }
}
`;
}
