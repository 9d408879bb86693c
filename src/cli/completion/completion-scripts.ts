export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type Shell = (typeof SHELLS)[number];

/** What a shell reads to complete `tunnel`. Each script only asks `tunnel __complete`, so it never goes out of date. */
export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}

/** A colon splits words in bash; our names have none, addresses may, and are not completed. */
const BASH = `_tunnel() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(tunnel __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _tunnel tunnel`;

/** Works from a file in fpath, and from eval: there it has to register itself. */
const ZSH = `#compdef tunnel
_tunnel() {
  local -a found
  local line
  while IFS= read -r line; do
    if [[ "$line" == *$'\\t'* ]]; then
      found+=("\${line%%$'\\t'*}:\${line#*$'\\t'}")
    else
      found+=("$line")
    fi
  done < <(tunnel __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then
    _describe tunnel found
  else
    _files
  fi
}
if [[ "\${funcstack[1]}" == _tunnel ]]; then
  _tunnel "$@"
else
  compdef _tunnel tunnel
fi`;

const FISH = `function __tunnel_complete
  set -l words (commandline -opc) (commandline -ct)
  tunnel __complete -- $words[2..-1] 2>/dev/null
end
complete -c tunnel -f -a '(__tunnel_complete)'`;

/** An empty argument is lost on its way to a native program in old versions: a new word is told by a trailing space. */
const POWERSHELL = `Register-ArgumentCompleter -Native -CommandName tunnel -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($wordToComplete -eq '') { $words += '""' }
  tunnel __complete -- @words 2>$null | ForEach-Object {
    $word, $about = $_ -split "\`t", 2
    if (-not $about) { $about = $word }
    [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $about)
  }
}`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH, powershell: POWERSHELL };
