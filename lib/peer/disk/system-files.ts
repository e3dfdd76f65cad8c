// Knows the files and folders that a system makes by itself in every folder. Nobody means them when sharing a folder.

const MADE_BY_SYSTEMS =
  /^(?:desktop\.ini|(?:eh)?thumbs(?:_vista)?\.db|\$recycle\.bin|system volume information|@eadir|lost\+found|__macosx)$/i;

/** Whether this is the name of such a file or folder, such as `Thumbs.db`. */
export function isSystemFile(name: string): boolean {
  return MADE_BY_SYSTEMS.test(name);
}
