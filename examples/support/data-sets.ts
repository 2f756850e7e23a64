import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A real data set of the vega-datasets package and the question asked of it. */
export interface DataSet {
  readonly name: string;
  readonly file: string;
  /** Column of the horizontal axis: a date, a year or a number. */
  readonly x: string;
  readonly y: string;
  /** Unit of y, for sentences. */
  readonly unit: string;
  /** Only rows with this value in this column. */
  readonly where?: readonly [column: string, value: string];
}

/** Thirteen data sets, from 1.3 kB to 1.4 MB. */
export const dataSets: readonly DataSet[] = [
  { name: 'cars', file: 'cars.json', x: 'Weight_in_lbs', y: 'Miles_per_Gallon', unit: 'miles per gallon' },
  { name: 'co2', file: 'co2-concentration.csv', x: 'Date', y: 'CO2', unit: 'ppm' },
  { name: 'global-temp', file: 'global-temp.csv', x: 'year', y: 'temp', unit: 'degrees' },
  { name: 'stocks', file: 'stocks.csv', x: 'date', y: 'price', unit: 'dollars', where: ['symbol', 'AAPL'] },
  { name: 'sp500', file: 'sp500.csv', x: 'date', y: 'price', unit: 'points' },
  { name: 'seattle-weather', file: 'seattle-weather.csv', x: 'temp_max', y: 'precipitation', unit: 'mm' },
  { name: 'gapminder', file: 'gapminder.json', x: 'fertility', y: 'life_expect', unit: 'years of life' },
  { name: 'penguins', file: 'penguins.json', x: 'Flipper Length (mm)', y: 'Body Mass (g)', unit: 'g' },
  { name: 'barley', file: 'barley.json', x: 'year', y: 'yield', unit: 'bushels per acre' },
  {
    name: 'iowa-electricity',
    file: 'iowa-electricity.csv',
    x: 'year',
    y: 'net_generation',
    unit: 'GWh',
    where: ['source', 'Renewables'],
  },
  {
    name: 'disasters',
    file: 'disasters.csv',
    x: 'Year',
    y: 'Deaths',
    unit: 'deaths',
    where: ['Entity', 'All natural disasters'],
  },
  { name: 'movies', file: 'movies.json', x: 'Production Budget', y: 'Worldwide Gross', unit: 'dollars' },
  { name: 'wheat', file: 'wheat.json', x: 'year', y: 'wheat', unit: 'shillings a quarter' },
];

/** Folder of the package's data files. */
export function dataFolder(): string {
  const require = createRequire(import.meta.url);
  return join(dirname(require.resolve('vega-datasets')), '..', 'data');
}
