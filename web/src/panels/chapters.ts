/** The chapters of the lesson's page. */

export interface Chapter {
  title: string;
  /** Markdown, without the page's pictures: the nodes show them. */
  text: string;
}

const CHAPTER = /^## \d+\.[ ]*(.*)\n([\s\S]*?)(?=^## |$(?![\s\S]))/gm;
const PICTURES = /^!\[.*\]\(.*\)\n*/gm;
/** Links to other pages of the documentation, which the editor does not have. */
const PAGE_LINKS = /\[([^\]]*)\]\((?![a-z]+:)[^)]*\)/g;

/** The numbered chapters of a page. */
export const chaptersOf = (page: string): Chapter[] =>
  [...page.matchAll(CHAPTER)].map(([, title = "", text = ""]) => ({
    title,
    text: text.replace(PICTURES, "").replace(PAGE_LINKS, "$1").trim(),
  }));
